//! Tokens that are found in a text whole, before anything else is done with it: as transformers' slow tokenizers do it.

use super::TokenizerError;

/// Texts and ids of such tokens.
pub(super) struct WholeTokens(Vec<(String, u32)>);

impl WholeTokens {
    /// Empty ones are never found.
    pub(super) fn of(mut tokens: Vec<(String, u32)>) -> Self {
        tokens.retain(|(token, _)| !token.is_empty());
        // The longest is found first.
        tokens.sort_by_key(|(token, _)| std::cmp::Reverse(token.len()));
        Self(tokens)
    }

    pub(super) fn id(&self, text: &str) -> Option<u32> {
        let mut found = self.0.iter().filter(|(token, _)| token == text);
        found.next().map(|(_, id)| *id)
    }

    /// Ids of a text: of the tokens, and what `others` adds for each part between them.
    pub(super) fn ids(
        &self,
        text: &str,
        others: impl Fn(&str, &mut Vec<u32>) -> Result<(), TokenizerError>,
    ) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = Vec::new();
        let (mut start, mut at) = (0, 0);
        while let Some(c) = text[at..].chars().next() {
            let mut tokens = self.0.iter();
            match tokens.find(|(token, _)| text[at..].starts_with(token.as_str())) {
                Some((token, id)) => {
                    others(&text[start..at], &mut ids)?;
                    ids.push(*id);
                    at += token.len();
                    start = at;
                }
                None => at += c.len_utf8(),
            }
        }
        others(&text[start..], &mut ids)?;
        Ok(ids)
    }
}
