//! Where in a text a key or value stands. YAML values carry no positions once they are read, but an
//! error that is raised while reading does; so a reader that fails on purpose at the wanted place finds it.
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;

/// Line and column, both from 1.
pub(super) type Place = (usize, usize);

/// Finds the key at the end of `path` (list elements by their index as text). `None` if nothing is there.
pub(super) fn of_key(text: &str, path: &[&str]) -> Option<Place> {
    let found = Cell::new(false);
    let failed = Seek { path, found: &found }.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    // Other errors have places too.
    failed.location().filter(|_| found.get()).map(|at| (at.line(), at.column()))
}

/// Walks along the path and fails at its end.
struct Seek<'p> {
    path: &'p [&'p str],
    found: &'p Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.found.set(self.path.is_empty());
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing, this is the place")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((wanted, rest)) = self.path.split_first() else { return Err(A::Error::custom("here")) };
        while let Some(found) = map.next_key_seed(Key { wanted, last: rest.is_empty().then_some(self.found) })? {
            if found {
                return map.next_value_seed(Seek { path: rest, found: self.found });
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some((wanted, rest)) = self.path.split_first() else { return Err(A::Error::custom("here")) };
        for _ in 0..wanted.parse().unwrap_or(0usize) {
            list.next_element::<IgnoredAny>()?;
        }
        list.next_element_seed(Seek { path: rest, found: self.found }).map(|_| ())
    }
}

/// Reads a key, fails if it is the wanted one and the path ends with it.
struct Key<'p> {
    wanted: &'p str,
    /// Where to say that this was it, if the path ends here.
    last: Option<&'p Cell<bool>>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        let matches = key == self.wanted;
        match self.last.filter(|_| matches) {
            Some(found) => {
                found.set(true);
                Err(E::custom("here"))
            }
            None => Ok(matches),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# comment\napi:\n  listen: :1984\nwebrtc: {filters: {ips: [1, 2]}}\nstreams:\n  \"a b\":\n  - x\n  - y\n  7: z\n";

    #[test]
    fn keys_are_found_in_blocks_flows_and_quotes() {
        assert_eq!(of_key(TEXT, &["api"]), Some((2, 1)));
        assert_eq!(of_key(TEXT, &["api", "listen"]), Some((3, 3)));
        assert_eq!(of_key(TEXT, &["webrtc", "filters", "ips"]), Some((4, 20)));
        assert_eq!(of_key(TEXT, &["streams", "a b"]), Some((6, 3)));
        assert_eq!(of_key(TEXT, &["streams", "7"]), Some((9, 3)));
    }

    #[test]
    fn list_elements_are_found_by_index() {
        assert_eq!(of_key(TEXT, &["streams", "a b", "1"]), Some((8, 5)));
    }

    #[test]
    fn what_is_absent_has_no_place() {
        assert_eq!(of_key(TEXT, &["api", "origin"]), None);
        assert_eq!(of_key(TEXT, &["nothing"]), None);
        assert_eq!(of_key("", &["nothing"]), None);
    }
}
