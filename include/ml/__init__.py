"""The model of commits: features, training, and the champion that the ML service loads."""
