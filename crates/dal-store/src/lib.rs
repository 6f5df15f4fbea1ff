//! Run specifications, records and checkpoints of active-learning runs on disk
