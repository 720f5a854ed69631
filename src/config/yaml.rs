//! YAML as the operator means it: with merge keys (`<<`), which `serde_yaml` takes for a key of that name, and with a
//! bound on what aliases unfold to.
use super::load::MAX_FILE;
use super::place::Place;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde_yaml::{Error, Mapping, Value};
use std::cell::Cell;
use std::fmt;

/// Values that a text may hold once its aliases are followed. Without aliases no file of the allowed size comes
/// near; with them a few lines can mean billions.
const MAX_VALUES: u64 = MAX_FILE / 8;

/// Brackets that may be open at one place. The parser's time grows with the square of their number, and it refuses more than
/// some hundred only when it has read all of them.
const MAX_OPEN: usize = 1000;

/// What is wrong, and where if that is known.
pub(super) type Failure = (Option<Place>, Error);

/// Reads the text as `T`, merge keys applied. Errors of a text that has merge keys carry no place: what was read stands
/// in several.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    let (value, merged) = unfolded(text)?;
    if !merged {
        return serde_yaml::from_str(text).map_err(placed);
    }
    // Through text once more, since only errors of a text name the key that they are about.
    let text = serde_yaml::to_string(&value).map_err(|error| (None, error))?;
    serde_yaml::from_str(&text).map_err(|error| (None, error))
}

/// What the text says, merge keys applied.
pub(super) fn value(text: &str) -> Result<Value, Failure> {
    unfolded(text).map(|(value, _)| value)
}

/// And whether there were merge keys.
fn unfolded(text: &str) -> Result<(Value, bool), Failure> {
    if opens_too_much(text) {
        return Err((None, Error::custom("brackets (\"[\", \"{\") are nested too deeply")));
    }
    if text.contains('*') {
        let left = Cell::new(MAX_VALUES);
        Count(&left).deserialize(serde_yaml::Deserializer::from_str(text)).map_err(placed)?;
    }
    let mut value = serde_yaml::from_str(text).map_err(placed)?;
    let merged = text.contains("<<") && merge(&mut value).map_err(|error| (None, error))?;
    Ok((value, merged))
}

/// Those in texts and comments count too: few of them have no counterpart.
fn opens_too_much(text: &str) -> bool {
    let mut open = 0_usize;
    text.bytes().any(|byte| {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > MAX_OPEN
    })
}

fn placed(error: Error) -> Failure {
    (error.location().map(|at| (at.line(), at.column())), error)
}

/// Replaces each `<<` by the entries of the map, or of the list of maps, behind it: keys that stand beside it win, and
/// of several maps the earlier. Answers whether there were any. <https://yaml.org/type/merge.html>
fn merge(value: &mut Value) -> Result<bool, Error> {
    let mut any = false;
    match value {
        Value::Mapping(map) => {
            for (_, child) in map.iter_mut() {
                any |= merge(child)?;
            }
            if let Some(below) = map.shift_remove("<<") {
                any = true;
                for below in maps(below)? {
                    for (key, child) in below {
                        map.entry(key).or_insert(child);
                    }
                }
            }
        }
        Value::Sequence(list) => {
            for child in list {
                any |= merge(child)?;
            }
        }
        Value::Tagged(tagged) => any = merge(&mut tagged.value)?,
        _ => {}
    }
    Ok(any)
}

fn maps(below: Value) -> Result<Vec<Mapping>, Error> {
    let one = |value| match value {
        Value::Mapping(map) => Ok(map),
        _ => Err(Error::custom("\"<<\" expects a map, or a list of maps, such as *name")),
    };
    match below {
        Value::Sequence(list) => list.into_iter().map(one).collect(),
        single => one(single).map(|map| vec![map]),
    }
}

/// Walks through everything and fails when it is too much.
#[derive(Clone, Copy)]
struct Count<'c>(&'c Cell<u64>);

impl<'de> DeserializeSeed<'de> for Count<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        let left = self.0.get().checked_sub(1);
        self.0.set(left.ok_or_else(|| D::Error::custom("aliases (\"*\") repeat too much of the text"))?);
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Count<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(self)?.is_some() {
            map.next_value_seed(self)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<(), A::Error> {
        let (_, tagged) = data.variant::<IgnoredAny>()?;
        tagged.newtype_variant_seed(self)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.deserialize(from)
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        serde_json::to_string(&value(text).unwrap()).unwrap()
    }

    #[test]
    fn keys_beside_a_merge_key_win_and_earlier_maps_win() {
        let anchors = "a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\n";
        for (merging, expected) in [
            ("c: {<<: *a}", r#"{"x":1,"y":1}"#),
            ("c: {<<: *a, x: 3}", r#"{"x":3,"y":1}"#),
            ("c: {x: 3, <<: *a}", r#"{"x":3,"y":1}"#),
            ("c: {<<: [*a, *b]}", r#"{"x":1,"y":1,"z":2}"#),
            ("c: {<<: [*b, *a], y: 4}", r#"{"y":4,"x":2,"z":2}"#),
            ("c: {<<: {x: 5}}", r#"{"x":5}"#),
            ("c: [{<<: *b}]", r#"[{"x":2,"z":2}]"#),
        ] {
            let all = said(&format!("{anchors}{merging}\n"));
            assert!(all.ends_with(&format!(r#","c":{expected}}}"#)), "{merging}: {all}");
        }
    }

    #[test]
    fn brackets_without_end_are_refused_at_once() {
        let (_, error) = value(&"[".repeat(MAX_FILE as usize)).unwrap_err();
        assert!(error.to_string().contains("nested too deeply"), "{error}");
        let many: String = (0..5_000).map(|number| format!("a{number}: [1, {{b: 2}}]\n")).collect();
        assert!(value(&many).is_ok(), "many are not deep");
    }

    #[test]
    fn a_merged_map_may_merge_others_itself() {
        assert!(said("a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b, z: 3}").contains(r#""c":{"z":3,"y":2,"x":1}"#));
        assert!(said("base: &b {x: {y: 1}}\n<<: *b\n").ends_with(r#""x":{"y":1}}"#));
    }

    #[test]
    fn a_merge_key_with_anything_else_behind_it_is_an_error() {
        for text in ["<<: 5", "<<:", "<<: [a]", "<<: [[{a: 1}]]", "a: {<<: text}"] {
            let (_, error) = value(text).unwrap_err();
            assert!(error.to_string().contains("expects a map"), "{text}: {error}");
        }
    }

    #[test]
    fn a_few_lines_of_aliases_do_not_become_billions_of_values() {
        let mut deep = "a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let below = format!("*a{}", level - 1);
            deep += &format!("a{level}: &a{level} [{}]\n", [below.as_str(); 8].join(", "));
        }
        // Many aliases of one large list: few for each value, and the square of the file's size in all.
        let wide = format!("a: &a [{}]\nb: [{}]\n", "x, ".repeat(10_000), "*a, ".repeat(10_000));
        // In a key, behind a tag, in a merge.
        let hidden = format!("a: &a [{}]\n? !t [{}]\n: 1\n", "x, ".repeat(10_000), "*a, ".repeat(10_000));
        for text in [deep, wide, hidden] {
            let (_, error) = read::<IgnoredAny>(&text).unwrap_err();
            assert!(error.to_string().contains("repe"), "{error}");
        }
    }

    #[test]
    fn what_is_used_twice_is_no_bomb() {
        let text = format!("a: &a [{}]\nb: *a\nc: *a\n", "x, ".repeat(1_000));
        assert!(value(&text).is_ok());
        assert!(value("a: &a !tag {x: [1, 2.5, true, ~, text]}\nb: *a").is_ok());
    }

    #[test]
    fn an_error_behind_a_merge_key_still_names_its_key() {
        #[derive(Debug, serde::Deserialize)]
        struct One {
            #[expect(dead_code, reason = "only its type counts")]
            c: std::collections::BTreeMap<String, u8>,
        }
        let (place, error) = read::<One>("a: &a {x: word}\nc: {<<: *a}\n").unwrap_err();
        assert_eq!(place, None);
        assert!(error.to_string().starts_with("c.x: invalid type"), "{error}");
    }
}
