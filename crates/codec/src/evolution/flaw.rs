//! What is wrong with a registry of upcasters.

use std::fmt;

/// Why a registry was not built: everything that is wrong with it, each with the names that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvolutionError {
    flaws: Vec<Flaw>,
}

/// One thing that is wrong with a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    kind: FlawKind,
    text: String,
}

/// What is wrong, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlawKind {
    /// From a version that may be stored no upcaster leads to the present: write it.
    Gap,
    /// Two upcasters start from one version: remove one.
    TwoSteps,
    /// Upcasters lead in a circle: let one of them lead to the present.
    Cycle,
    /// An upcaster starts from the version that the code writes now, or from a later one: raise the version
    /// of the type, or correct the upcaster's.
    NotOld,
    /// A name is none that the code or an upcaster knows: correct it.
    UnknownName,
    /// A name is given away though it is in use: correct it.
    TakenName,
    /// A name or a version is none.
    BadName,
    /// An upcaster reads or gives a [`Value`](crate::Value), and the form of the bytes does not describe
    /// itself: take structs of the fields.
    NeedsFields,
}

impl EvolutionError {
    /// Everything that is wrong; at least one.
    pub fn flaws(&self) -> &[Flaw] {
        &self.flaws
    }

    /// The error of these flaws, if there are any.
    pub(super) fn check(flaws: Vec<Flaw>) -> Result<(), Self> {
        if flaws.is_empty() {
            Ok(())
        } else {
            Err(Self { flaws })
        }
    }
}

impl Flaw {
    pub(super) fn new(kind: FlawKind, text: String) -> Self {
        Self { kind, text }
    }

    /// What is wrong.
    pub fn kind(&self) -> FlawKind {
        self.kind
    }
}

impl fmt::Display for EvolutionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("upcasters do not fit")?;
        for (index, flaw) in self.flaws.iter().enumerate() {
            let lead = if index == 0 { ": " } else { "; " };
            write!(f, "{lead}{flaw}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for EvolutionError {}

impl From<EvolutionError> for annals_core::Error {
    fn from(error: EvolutionError) -> Self {
        Self::new(annals_core::ErrorKind::Invalid, error.to_string())
            .during("build upcasters")
            .caused_by(error)
    }
}
