"""The ExecuTorch target: one XNNPACK delegate, run by the pip runtime here and by the mobile runtimes elsewhere."""
