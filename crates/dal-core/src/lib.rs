//! The vocabulary of deep active learning for regression, and its loop
