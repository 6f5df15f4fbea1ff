//! Errors, learning-curve summaries, batch diversity and paired statistics
