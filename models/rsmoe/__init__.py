"""RS-MoE (arXiv 2411.01595) on the InstructBLIP classes of transformers.

Import from the modules themselves: whoever needs only `models.rsmoe.prompt` does not pay for torch. `AutoConfig` and
`AutoModelForImageTextToText` know the network once `models.rsmoe.model` was imported.
"""
