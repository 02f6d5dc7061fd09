//! Stores.

/// Why a store refused or failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// 507: no room; nothing was written.
    #[error("the storage is full: {0}")]
    Full(String),
    /// 500: reading failed.
    #[error("the storage failed: {0}")]
    Failed(String),
}
