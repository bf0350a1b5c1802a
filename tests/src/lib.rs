//! hpb-tests
