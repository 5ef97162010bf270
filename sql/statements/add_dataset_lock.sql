INSERT INTO ops.dataset_lock (dataset) VALUES (%(dataset)s) ON CONFLICT DO NOTHING;
