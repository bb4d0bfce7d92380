"""EarthDial (arXiv 2412.15190) on the InternVL and Phi-3 classes of transformers.

Import from the modules themselves: whoever needs only `models.parts.prompt` does not pay for torch.
`AutoConfig` and `AutoModelForImageTextToText` know the network once `models.earthdial.model` was imported.
"""
