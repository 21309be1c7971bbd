//! The grammar (RFC 7644 §3.4.2.2, figure 1): `or` binds weakest, then `and`,
//! then `not` and grouping.

use super::ast::{
    Check, ContainerField, ContainerTest, ContainersTest, Expression, JsonTest, Step, SubjectTest,
};
use super::check::Expects;
use super::lexer::{Parser, Token};
use super::path::{self, Subject};
use super::{FilterError, MAX_LENGTH};
use crate::domain::subject::SubjectKind;

/// Reads a whole filter; `None` when there is nothing but white space.
pub(super) fn filter(source: &str) -> Result<(Option<Expression<SubjectTest>>, usize), FilterError> {
    let mut parser = Parser::new(source);
    if let Some((at, _)) = source.char_indices().nth(MAX_LENGTH) {
        return Err(parser.fault(at, format!("expected at most {MAX_LENGTH} characters, found more")));
    }
    if parser.peek() == Token::End {
        return Ok((None, 0));
    }
    let expression = parser.expression()?;
    match parser.peek() {
        Token::End => Ok((Some(expression), parser.comparisons())),
        _ => Err(parser.unexpected("\"and\", \"or\" or the end of the filter")),
    }
}

/// What a single test may be: of a subject at the top, of an element within
/// brackets.
pub(super) trait Test: Sized {
    /// Reads one; what comes next is a word.
    fn read(parser: &mut Parser<'_>, word: &str) -> Result<Self, FilterError>;
}

impl<'a> Parser<'a> {
    fn expression<T: Test>(&mut self) -> Result<Expression<T>, FilterError> {
        let mut parts = vec![self.conjunction()?];
        while self.keyword("or") {
            parts.push(self.conjunction()?);
        }
        Ok(Expression::any(parts))
    }

    fn conjunction<T: Test>(&mut self) -> Result<Expression<T>, FilterError> {
        let mut parts = vec![self.unit()?];
        while self.keyword("and") {
            parts.push(self.unit()?);
        }
        Ok(Expression::all(parts))
    }

    fn unit<T: Test>(&mut self) -> Result<Expression<T>, FilterError> {
        match self.peek() {
            Token::Open => self.group(),
            Token::Word(word) if path::reserved(word) => self.negation(),
            Token::Word(word) => {
                self.count()?;
                T::read(self, word).map(Expression::Test)
            }
            _ => Err(self.unexpected("an attribute name such as userName")),
        }
    }

    fn negation<T: Test>(&mut self) -> Result<Expression<T>, FilterError> {
        if !self.keyword("not") {
            return Err(self.unexpected("an attribute name such as userName"));
        }
        match self.peek() {
            Token::Open => Ok(Expression::Not(Box::new(self.group()?))),
            _ => Err(self.unexpected("\"(\" behind \"not\"")),
        }
    }

    fn group<T: Test>(&mut self) -> Result<Expression<T>, FilterError> {
        let opened = self.at;
        self.descend(Token::Open)?;
        let inner = self.expression()?;
        self.ascend(opened, Token::Close)?;
        Ok(inner)
    }

    /// The condition in brackets, if one comes next.
    fn condition<T: Test>(&mut self) -> Result<Option<Expression<T>>, FilterError> {
        if self.peek() != Token::OpenBracket {
            return Ok(None);
        }
        let opened = self.at;
        self.descend(Token::OpenBracket)?;
        if self.peek() == Token::CloseBracket {
            return Err(self.unexpected("a condition such as type eq \"work\" within the brackets"));
        }
        let inner = self.expression()?;
        self.ascend(opened, Token::CloseBracket)?;
        Ok(Some(inner))
    }

    /// The sub-attribute right behind a closing bracket, without its dot.
    fn behind_bracket(&mut self) -> Option<(&'a str, usize)> {
        if !self.rest().starts_with('.') {
            return None;
        }
        let token = self.peek();
        let at = self.at + 1;
        self.take(token);
        match token {
            Token::Word(word) => Some((word.strip_prefix('.')?, at)),
            _ => None,
        }
    }

    /// What follows `groups`, `groups.<field>` or `organization`.
    fn containers(
        &mut self,
        kind: SubjectKind,
        field: Option<ContainerField>,
    ) -> Result<ContainersTest, FilterError> {
        let condition = if field.is_none() { self.condition()? } else { None };
        let behind = condition.as_ref().and_then(|_| self.behind_bracket());
        let field = match behind {
            Some((name, at)) => Some(path::container(self, name, at)?),
            None => field,
        };
        let check = match (&condition, field) {
            (Some(_), None) => Check::Present,
            (_, Some(field)) => self.check(Expects::Text(field.as_str()))?,
            (None, None) => self.check(Expects::Text(path::containers_name(kind)))?,
        };
        Ok(ContainersTest { kind, condition, field, check })
    }

    /// Conditions and sub-attributes behind a path into JSON, then the check.
    fn json(&mut self, mut steps: Vec<Step>) -> Result<JsonTest, FilterError> {
        while let Some(condition) = self.condition()? {
            steps.push(Step::Where(condition));
            match self.behind_bracket() {
                Some((names, at)) => steps.extend(path::members(self, names, at)?),
                None => return Ok(JsonTest { steps, check: Check::Present }),
            }
        }
        Ok(JsonTest { steps, check: self.check(Expects::Anything)? })
    }
}

impl Test for SubjectTest {
    fn read(parser: &mut Parser<'_>, word: &str) -> Result<Self, FilterError> {
        let found = path::subject(parser, word, parser.at)?;
        parser.take(Token::Word(word));
        match found {
            Subject::Core(field) => Ok(Self::Core(field, parser.check(Expects::of(field))?)),
            Subject::Attributes(steps) => parser.json(steps).map(Self::Attributes),
            Subject::Containers(kind, field) => parser.containers(kind, field).map(Self::Containers),
        }
    }
}

impl Test for ContainerTest {
    fn read(parser: &mut Parser<'_>, word: &str) -> Result<Self, FilterError> {
        let field = path::container(parser, word, parser.at)?;
        parser.take(Token::Word(word));
        Ok(Self { field, check: parser.check(Expects::Text(field.as_str()))? })
    }
}

impl Test for JsonTest {
    fn read(parser: &mut Parser<'_>, word: &str) -> Result<Self, FilterError> {
        let steps = path::members(parser, word, parser.at)?;
        parser.take(Token::Word(word));
        parser.json(steps)
    }
}
