//! Modules that logic imports by name. They are TypeScript like anybody's logic,
//! and are bundled with it on publication, so that a published version does not
//! change with the daemon.
//!
//! | name | for |
//! |---|---|
//! | `provisiond` | the host's own: `log` |
//! | `provisiond:mapping` | what every script needs: comparing, naming, transliterating, passwords |

/// Name and source of each.
const MODULES: &[(&str, &str)] =
    &[("provisiond", include_str!("provisiond.ts")), ("provisiond:mapping", include_str!("mapping.ts"))];

/// TypeScript declarations of the contract and of these modules.
pub const TYPES: &str = include_str!("../../docs/provisiond.d.ts");

/// The names.
pub fn names() -> impl Iterator<Item = &'static str> {
    MODULES.iter().map(|(name, _)| *name)
}

/// The TypeScript of a module, `None` when there is none of that name.
pub fn source(name: &str) -> Option<&'static str> {
    MODULES.iter().find(|(known, _)| *known == name).map(|(_, source)| *source)
}
