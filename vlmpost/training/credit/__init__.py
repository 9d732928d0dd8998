"""Credit: which completion, and which of its tokens, earned what. From rewards to advantages, by comparison, by returns or by a critic."""
