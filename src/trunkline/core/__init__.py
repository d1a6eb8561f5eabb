"""The words everything else is written in: values, frames, errors, time, hashes."""
