//! A value that many specifications have in common, kept once in memory: a sweep may have a hundred thousand runs.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// A value that clones share. It reads, compares and serialises as the value itself; changing one clone leaves the
/// others as they are.
#[derive(PartialEq, Eq)]
pub struct Shared<T>(Arc<T>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq<Value> for Shared<Value> {
    fn eq(&self, other: &Value) -> bool {
        *self.0 == *other
    }
}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_changed_clone_leaves_the_others_and_text_is_that_of_the_value() {
        let one = Shared::from(json!({"a": 1}));
        let mut other = one.clone();
        assert!(Arc::ptr_eq(&one.0, &other.0));
        other["a"] = json!(2);
        assert_eq!((&one, &other), (&Shared::from(json!({"a": 1})), &Shared::from(json!({"a": 2}))));
        assert_eq!(serde_json::to_string(&one).unwrap(), "{\"a\":1}");
        assert_eq!(serde_json::from_str::<Shared<Value>>("{\"a\":1}").unwrap(), one);
    }
}
