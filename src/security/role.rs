//! What a caller may do.

use crate::domain::status::words;

words!(
    /// A role. Each one includes those before it.
    Role {
        /// Reads everything that is not secret.
        Viewer = "viewer",
        /// Retries, forces, pauses, approves held work.
        Operator = "operator",
        /// Changes subjects, targets and logic.
        Editor = "editor",
        /// Sets secrets; nobody reads them.
        SecretsAdmin = "secretsAdmin",
        /// Makes tokens and stores.
        Owner = "owner",
    }
);

impl Role {
    /// Whether a caller with this role may do what `needed` may do.
    pub fn allows(self, needed: Self) -> bool {
        self >= needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_includes_those_before_it() {
        for (i, role) in Role::ALL.iter().enumerate() {
            for (j, needed) in Role::ALL.iter().enumerate() {
                assert_eq!(role.allows(*needed), i >= j, "{role} for {needed}");
            }
        }
    }

    #[test]
    fn words_are_those_of_the_wire() {
        let words: Vec<_> = Role::ALL.iter().map(|role| role.as_str()).collect();
        assert_eq!(words, ["viewer", "operator", "editor", "secretsAdmin", "owner"]);
    }
}
