//! Scientific regression problems with oracles, and oracles that users bring
