"""EarthDial (arXiv 2412.15190) on the InternVL and Phi-3 classes of transformers."""
