//! What the engine shows of itself; nothing here changes it.
mod api_json;
mod diagnostics;
mod health;
