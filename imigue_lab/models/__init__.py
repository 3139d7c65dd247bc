"""The paper's two systems and its baselines, as plain PyTorch."""
