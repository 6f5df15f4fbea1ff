//! From a sweep file to a finished store: resolve, schedule, run, resume
