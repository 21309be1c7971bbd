//! Statements that are parsed once a connection. Diesel takes every `sql_query`
//! for one of a kind and has it parsed each time.

use std::marker::PhantomData;

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::Untyped;
use diesel::{PgConnection, QueryResult, RunQueryDsl};

/// A statement whose text is always the same; `Name` tells it from others.
pub(super) struct Prepared<Name, Q> {
    query: Q,
    name: PhantomData<Name>,
}

/// Has `query` prepared under the type `Name`, which no other text may use.
pub(super) fn prepared<Name, Q>(query: Q) -> Prepared<Name, Q> {
    Prepared { query, name: PhantomData }
}

impl<Name, Q> Query for Prepared<Name, Q> {
    type SqlType = Untyped;
}

impl<Name: 'static, Q> QueryId for Prepared<Name, Q> {
    type QueryId = Name;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<Name, Q> RunQueryDsl<PgConnection> for Prepared<Name, Q> {}

impl<Name, Q: QueryFragment<Pg>> QueryFragment<Pg> for Prepared<Name, Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.query.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}
