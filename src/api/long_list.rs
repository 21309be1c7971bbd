//! Lists whose items may be long: found at once, fetched and sent a few at a
//! time, as the client takes them. So a page costs no more memory than a part.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use futures_util::stream;
use serde::Serialize;

use super::turns::Reads;
use crate::http::Problem;
use crate::http::page::Found;
use crate::storage::{Connection, Measured};

/// Bytes of a part, unless a single item has more.
const PART: i64 = 256 * 1024;

/// Fetches the items with these ids, in the order of the list.
type Fetch<V> = dyn Fn(&mut Connection, &[i64]) -> Result<Vec<V>, Problem> + Send + Sync;

/// Answers with what `find` finds on a page. The first part is read in the same
/// transaction, so a short page is one look; what fails later breaks the answer off.
pub(super) async fn answer<V: Serialize + 'static>(
    reads: Reads,
    find: impl FnOnce(&mut Connection) -> Result<Found, Problem> + Send + 'static,
    fetch: impl Fn(&mut Connection, &[i64]) -> Result<Vec<V>, Problem> + Send + Sync + 'static,
) -> Result<HttpResponse, Problem> {
    let fetch: Arc<Fetch<V>> = Arc::new(fetch);
    let first = fetch.clone();
    let (text, parts, next) = reads
        .run(move |connection| {
            let found = find(connection)?;
            let mut parts = parts(&found.items).into_iter();
            let items = match parts.next() {
                Some(ids) => items(&first(connection, &ids)?)?,
                None => String::new(),
            };
            Ok::<_, Problem>((items, parts, found.next))
        })
        .await?;
    let next = serde_json::to_string(&next).map_err(Problem::internal)?;
    let end = format!("],\"next\":{next}}}");
    let begin = format!("{{\"items\":[{text}");
    let mut answer = HttpResponse::Ok();
    answer.content_type("application/json");
    if parts.len() == 0 {
        return Ok(answer.body(begin + &end));
    }
    let rest = Rest { reads, fetch, parts, end: Some(end) };
    let rest = stream::try_unfold(rest, Rest::next);
    let begin = stream::once(async move { Ok::<_, io::Error>(Bytes::from(begin)) });
    Ok(answer.streaming(futures_util::StreamExt::chain(begin, rest)))
}

/// What is still to be sent.
struct Rest<V> {
    reads: Reads,
    fetch: Arc<Fetch<V>>,
    parts: std::vec::IntoIter<Vec<i64>>,
    end: Option<String>,
}

impl<V: Serialize + 'static> Rest<V> {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let Some(ids) = self.parts.next() else {
            return Ok(self.end.take().map(|end| (Bytes::from(end), self)));
        };
        let fetch = self.fetch.clone();
        let fetched = self.reads.run(move |connection| items(&fetch(connection, &ids)?)).await;
        // The status has gone out: all that is left is to break off.
        let mut text = fetched.map_err(|problem| io::Error::other(problem.to_string()))?;
        if !text.is_empty() {
            text.insert(0, ',');
        }
        Ok(Some((Bytes::from(text), self)))
    }
}

/// Items as they stand in an array.
fn items<V: Serialize>(views: &[V]) -> Result<String, Problem> {
    let mut text = String::new();
    for view in views {
        let comma = if text.is_empty() { "" } else { "," };
        let view = serde_json::to_string(view).map_err(Problem::internal)?;
        write!(text, "{comma}{view}").map_err(Problem::internal)?;
    }
    Ok(text)
}

/// The ids of each part.
fn parts(items: &[Measured]) -> Vec<Vec<i64>> {
    let (mut parts, mut left) = (Vec::<Vec<i64>>::new(), 0);
    for Measured { id, size } in items {
        match parts.last_mut() {
            Some(part) if *size <= left => part.push(*id),
            _ => {
                parts.push(vec![*id]);
                left = PART;
            }
        }
        left -= size;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_short_unless_one_item_is_long() {
        let of = |sizes: &[i64]| {
            let items: Vec<_> = (1..).zip(sizes).map(|(id, size)| Measured { id, size: *size }).collect();
            parts(&items)
        };
        assert!(of(&[]).is_empty());
        assert_eq!(of(&[10, 20, 30]), [vec![1, 2, 3]]);
        assert_eq!(of(&[PART - 1, 1, 1]), [vec![1, 2], vec![3]]);
        assert_eq!(of(&[1, 9 * PART, 1]), [vec![1], vec![2], vec![3]]);
    }
}
