"""The questions that operators ask, each by one command and one call, with what they really answer."""
