//! How a producer tells a sleeping consumer that there is work.

/// Wakes the executor behind it if it sleeps; cheap when it does not. The runtime gives one for each executor.
pub trait Wake: Send + Sync {
    /// Called after the work was published.
    fn wake(&self);
}
