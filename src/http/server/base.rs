//! `api.base_path`: the folder under which a reverse proxy shows the relay. Everything is served below it, and at the
//! root as before: some proxies leave the folder away when they ask, and programs on this machine do not know of it.
use std::fmt;

/// Empty, or `/folder` without a slash at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base(String);

/// What a target is for the routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Below<'t> {
    Target(&'t str),
    /// The folder itself. Links of pages are relative to what stands before the last slash: it has to have one.
    Redirect(String),
}

impl Base {
    /// The settings have checked that it is a path; slashes around it say nothing.
    pub fn new(path: &str) -> Self {
        let path = path.trim_matches('/');
        Self(if path.is_empty() { String::new() } else { format!("/{path}") })
    }

    /// The part of a target below the folder.
    pub fn below<'t>(&self, target: &'t str) -> Below<'t> {
        match target.strip_prefix(self.0.as_str()) {
            Some(rest) if rest.starts_with('/') => Below::Target(rest),
            Some(rest) if !self.0.is_empty() && (rest.is_empty() || rest.starts_with('?')) => {
                Below::Redirect(format!("{}/{rest}", self.0))
            }
            _ => Below::Target(target),
        }
    }
}

/// What stands before the paths that clients are told.
impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_cut_where_it_is_one() {
        for written in ["/web/cam", "web/cam", "/web/cam/"] {
            let base = Base::new(written);
            for (target, expected) in [
                ("/web/cam/", "/"),
                ("/web/cam/api?x", "/api?x"),
                ("/web/cam/web/cam/whep", "/web/cam/whep"),
                ("/web/camera", "/web/camera"),
                ("/api?src=/web/cam/", "/api?src=/web/cam/"),
                ("/", "/"),
                ("*", "*"),
            ] {
                assert_eq!(base.below(target), Below::Target(expected), "{target}");
            }
            assert_eq!(base.below("/web/cam"), Below::Redirect("/web/cam/".into()));
            assert_eq!(base.below("/web/cam?a"), Below::Redirect("/web/cam/?a".into()));
        }
    }

    #[test]
    fn without_a_folder_nothing_is_cut() {
        for written in ["", "/"] {
            let base = Base::new(written);
            assert_eq!((base.below("/a"), base.to_string()), (Below::Target("/a"), String::new()));
            assert_eq!(base.below("*"), Below::Target("*"));
        }
    }
}
