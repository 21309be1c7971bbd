//! What a GraphQL document does.

use apollo_parser::Parser;
use apollo_parser::cst::{Definition, OperationDefinition};

/// Tokens of a document that is still looked at.
const MOST: usize = 20_000;

/// Whether a document has operations and all of them are queries: which one is
/// run is for the server to say. One that cannot be read has none.
pub(super) fn is_of_queries(document: &str) -> bool {
    let tree = Parser::new(document).token_limit(MOST).parse();
    if tree.errors().len() > 0 {
        return false;
    }
    let mut operations = 0;
    let reads = tree.document().definitions().all(|definition| match definition {
        Definition::OperationDefinition(operation) => {
            operations += 1;
            is_query(&operation)
        }
        Definition::FragmentDefinition(_) => true,
        _ => false,
    });
    reads && operations > 0
}

/// Without a type it is a query (GraphQL §2.3, "Query shorthand").
fn is_query(operation: &OperationDefinition) -> bool {
    operation.operation_type().is_none_or(|kind| kind.query_token().is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn queries_alone_read() {
        for document in [
            "{ user(id: 1) { name mutation } }",
            "query Q($a: String = \"mutation\") { user { id } }\nfragment F on User { id }",
            "query A { find(name: \"{\") { id } }",
            "query A { find(name: \"\\\"{ (\") { id } } query B { b }",
            "query { a(text: \"\"\"{ \" # mutation \\\"\"\" \"\"\") }",
            "# mutation { a }\nquery($a: [Int!]! = [1, 2]) @cached { ...on A { b } }",
        ] {
            assert!(is_of_queries(document), "{document}");
        }
    }

    #[test]
    fn whatever_else_is_in_it_does_not() {
        for document in [
            "",
            " # nothing",
            "fragment F on User { id }",
            "# a query\nmutation { remove(id: 1) }",
            "query A { a } mutation B { b }",
            "query A { find(name: \"{\") { id } } mutation B { remove(id: 1) }",
            "query A { find(name: \"\\\"(\") { id } } mutation B { b }",
            "query A { a(text: \"\"\" \" { \"\"\") } mutation B { b }",
            "query A { a(text: \"#\") { id } } mutation B { b }",
            "query A { a # }\n} mutation B { b }",
            "subscription { a }",
            "type User { id: ID }",
            "query A { a",
            "query A { a } }",
            "query A { a(b: \"c) }",
            "queries { a }",
        ] {
            assert!(!is_of_queries(document), "{document}");
        }
    }

    #[test]
    fn monstrous_documents_are_not_read() {
        assert!(!is_of_queries(&"{a".repeat(100_000)));
        assert!(!is_of_queries(&format!("query {{ {} }}", "a ".repeat(MOST))));
        assert!(!is_of_queries(&format!("query {{ a(b: {}) }}", "[".repeat(100_000))));
    }

    proptest! {
        #[test]
        fn a_mutation_is_found_behind_any_string(text in "[a-z{}()\\[\\]# é]{0,20}") {
            let query = format!("query A {{ a(b: \"{text}\", c: \"\"\"{text}\"\"\") {{ d }} }}");
            prop_assert!(is_of_queries(&query));
            let both = format!("{query} mutation B {{ b }}");
            prop_assert!(!is_of_queries(&both));
        }

        #[test]
        fn any_text_is_survived(text in "[a-c{}()\\[\\]#\"\\\\$@!:=|&,.\n é0-9-]{0,60}") {
            is_of_queries(&text);
        }
    }
}
