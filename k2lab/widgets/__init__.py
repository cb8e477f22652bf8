"""What is worked with in JupyterLab: the explorer of prompts, the playground of outputs, the browser of a run."""
