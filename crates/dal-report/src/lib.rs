//! From a store of runs to tables, figures and one page
