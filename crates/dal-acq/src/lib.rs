//! Query strategies for pool-based active learning of regression
