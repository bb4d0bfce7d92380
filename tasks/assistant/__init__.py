"""What assistants are given of the project as tools over MCP: scenes, chips, pictures, the model, the verifier."""
