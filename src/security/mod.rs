//! Secrets, how they rest and how they are kept out of sight; tokens and roles.
//!
//! A secret is a [`Secret`] from the moment it is read until the moment it is
//! sent: it cannot be printed or serialized by accident. At rest it is sealed
//! by a [`Sealer`]. What comes back from elsewhere passes a [`Redactor`], in [`Parts`] if need be.

pub mod parts;
pub mod redact;
pub mod role;
pub mod sealing;
pub mod secret;
pub mod token;

pub(crate) mod forms;
mod master_key;

pub use master_key::{MasterKey, MasterKeyError};
pub use parts::Parts;
pub use redact::Redactor;
pub use role::Role;
pub use sealing::{Place, Sealer, SealingError};
pub use secret::{NamedSecret, Secret};
pub use token::{Token, TokenError};
