"""The core of inference, on fakes that keep the rules of the real thing."""
