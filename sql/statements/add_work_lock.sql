INSERT INTO ops.work_lock (name) VALUES (%(name)s) ON CONFLICT DO NOTHING;
