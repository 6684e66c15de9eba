//! Where API keys are stored, and how they are asked for.

mod cached;
