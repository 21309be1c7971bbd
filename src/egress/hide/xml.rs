//! XML.

use super::{NAMING, Seen, VALUES, hidden, is_credential_key};

/// The text without credentials: what stands in elements and attributes of such
/// a name. It keeps its structure.
pub(super) fn elements(text: &str, seen: &mut Seen) -> String {
    let out = String::with_capacity(text.len());
    let mut reader = Reader { out, open: Vec::new(), hides_from: None, names_in: None, seen };
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        reader.text(&rest[..at]);
        let (markup, after) = rest[at..].split_at(length_of_markup(&rest[at..]));
        reader.markup(markup);
        rest = after;
    }
    reader.text(rest);
    reader.out
}

struct Reader<'a> {
    out: String,
    /// The elements that are open.
    open: Vec<&'a str>,
    /// How many were, when one was opened that is a credential.
    hides_from: Option<usize>,
    /// How many were around an element that says what its neighbour is, as in
    /// `<name>password</name><value>…</value>`.
    names_in: Option<usize>,
    seen: &'a mut Seen,
}

impl<'a> Reader<'a> {
    fn text(&mut self, text: &str) {
        let names = self.open.last().is_some_and(|name| is_one_of(&NAMING, name));
        if names && is_credential_key(text) {
            self.names_in = Some(self.open.len() - 1);
        }
        let hides_from = self.hides_from.filter(|_| !text.trim().is_empty());
        let shown = match hides_from {
            Some(from) => hidden(self.open.get(from - 1).copied().unwrap_or_default(), text, self.seen),
            None => text,
        };
        self.out.push_str(shown);
    }

    fn markup(&mut self, markup: &'a str) {
        if let Some(text) = markup.strip_prefix("<![CDATA[") {
            let end = if text.ends_with("]]>") { "]]>" } else { "" };
            self.out.push_str("<![CDATA[");
            self.text(&text[..text.len() - end.len()]);
            self.out.push_str(end);
        } else if markup.starts_with("</") {
            self.close();
            self.out.push_str(markup);
        } else if !markup.starts_with("<!") && !markup.starts_with("<?") {
            self.open(markup);
        } else if self.hides_from.is_none() {
            self.out.push_str(markup);
        }
    }

    fn open(&mut self, tag: &'a str) {
        let name =
            local(tag[1..].split(|c: char| c.is_whitespace() || "/>".contains(c)).next().unwrap_or(""));
        let attributes = attributes(tag);
        let is_named = attributes.iter().any(|attribute| attribute.names_credential());
        let mut copied = 0;
        for attribute in attributes.iter().filter(|attribute| attribute.is_credential(is_named)) {
            self.out.push_str(&tag[copied..attribute.start]);
            self.out.push_str(hidden(attribute.name, attribute.value, self.seen));
            copied = attribute.start + attribute.value.len();
        }
        self.out.push_str(&tag[copied..]);
        if tag.ends_with("/>") {
            return;
        }
        let is_value = self.names_in == Some(self.open.len()) && is_one_of(&VALUES, name);
        self.open.push(name);
        if is_named || is_value || is_credential_key(name) {
            self.hides_from.get_or_insert(self.open.len());
        }
    }

    fn close(&mut self) {
        self.hides_from = self.hides_from.filter(|from| *from < self.open.len());
        self.open.pop();
        self.names_in = self.names_in.filter(|around| *around <= self.open.len());
    }
}

/// A value ends where the text is cut.
struct Attribute<'a> {
    name: &'a str,
    start: usize,
    value: &'a str,
}

impl Attribute<'_> {
    fn names_credential(&self) -> bool {
        is_one_of(&NAMING, self.name) && is_credential_key(self.value)
    }

    fn is_credential(&self, is_named: bool) -> bool {
        is_credential_key(self.name) || is_named && is_one_of(&VALUES, self.name)
    }
}

fn attributes(tag: &str) -> Vec<Attribute<'_>> {
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(at) = tag[from..].find(['"', '\'']).map(|at| from + at) {
        let before = tag[from..at].trim_end().trim_end_matches('=').trim_end();
        let name = local(before.rsplit(char::is_whitespace).next().unwrap_or_default());
        let start = at + 1;
        let length = tag[start..].find(&tag[at..start]).unwrap_or(tag.len() - start);
        found.push(Attribute { name, start, value: &tag[start..start + length] });
        from = (start + length + 1).min(tag.len());
    }
    found
}

fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

fn is_one_of(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Of the tag, comment or the like that the text begins with.
fn length_of_markup(text: &str) -> usize {
    for (start, end) in [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")] {
        if let Some(inside) = text.strip_prefix(start) {
            return inside.find(end).map_or(text.len(), |at| start.len() + at + end.len());
        }
    }
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '>') => return at + 1,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(text: &str) -> String {
        super::elements(text, &mut Seen::default())
    }

    #[test]
    fn credentials_in_elements_and_attributes_are_hidden() {
        for (text, shown) in [
            (
                "<u><password>P</password><name>a</name></u>",
                "<u><password>[hidden]</password><name>a</name></u>",
            ),
            (
                "<wsse:Password Type='x#PasswordText'> P </wsse:Password><a>b</a>",
                "<wsse:Password Type='x#PasswordText'>[hidden]</wsse:Password><a>b</a>",
            ),
            (
                "<user id=\"1\" password = 'a>b' x:token=\"t\"/><b>c</b>",
                "<user id=\"1\" password = '[hidden]' x:token=\"[hidden]\"/><b>c</b>",
            ),
            (
                "<password>\n <value>P</value><!-- P --><![CDATA[P]]>\n</password><!-- c -->",
                "<password>\n <value>[hidden]</value><![CDATA[[hidden]]]>\n</password><!-- c -->",
            ),
            (
                "<attr name=\"userPassword\"><value>P</value></attr><attr name=\"sn\"><value>b</value></attr>",
                "<attr name=\"userPassword\"><value>[hidden]</value></attr><attr name=\"sn\"><value>b</value></attr>",
            ),
            ("<p name='password' value='P'/>", "<p name='password' value='[hidden]'/>"),
            (
                "<m><name>password</name><value><s>P</s></value></m><m><name>a</name><value>b</value></m>",
                "<m><name>password</name><value><s>[hidden]</s></value></m><m><name>a</name><value>b</value></m>",
            ),
            ("<token>[secret:t]</token>", "<token>[secret:t]</token>"),
            ("<password/><a>b</a>", "<password/><a>b</a>"),
        ] {
            assert_eq!(elements(text), shown);
        }
    }

    #[test]
    fn texts_may_be_cut_or_be_no_xml() {
        for (text, shown) in [
            ("<password>cu", "<password>[hidden]"),
            ("<user password=\"cu", "<user password=\"[hidden]"),
            ("<password><![CDATA[cu", "<password><![CDATA[[hidden]"),
            ("</a></b>a < b \"", "</a></b>a < b \""),
            ("<!-- <password>", "<!-- <password>"),
            ("<é é='", "<é é='"),
            ("", ""),
        ] {
            assert_eq!(elements(text), shown);
        }
    }
}
