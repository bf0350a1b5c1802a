//! What a running card can be told: lines of words, from a terminal, a script or a test.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use hpb_base::Wake;
use hpb_toe::registers::Register;

/// Orders that may wait for a lane.
const ORDERS_MAX: usize = 64;

/// One order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Set a mode register on every lane.
    Set(Register, u32),
    /// Print the counters.
    Counters,
    /// Print the first rows of the session table.
    Table(usize),
    /// End.
    Quit,
}

/// Reads an order.
///
/// # Errors
/// What would be one, in a line.
pub fn parse_order(line: &str) -> Result<Order, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["counters"] => Ok(Order::Counters),
        ["table"] => Ok(Order::Table(20)),
        ["table", rows] => rows.parse().map(Order::Table).map_err(|_| format!("`{rows}` is no number of rows")),
        ["quit"] => Ok(Order::Quit),
        ["set", name, value] => {
            let names = || Register::ALL.map(Register::name).join(", ");
            let register = Register::by_name(name).ok_or_else(|| format!("`{name}` is no register of {}", names()))?;
            value.parse().map(|value| Order::Set(register, value)).map_err(|_| format!("`{value}` is no 32-bit number"))
        }
        _ => Err(format!("`{line}`: orders are `counters`, `table [ROWS]`, `set REGISTER VALUE`, `quit`")),
    }
}

/// The sending end of a lane's orders.
#[derive(Clone)]
pub struct Control {
    orders: SyncSender<(Register, u32)>,
    waker: Arc<dyn Wake>,
}

impl Control {
    /// Both ends; `waker` wakes the lane.
    pub(crate) fn new(waker: Arc<dyn Wake>) -> (Self, Receiver<(Register, u32)>) {
        let (orders, receiver) = sync_channel(ORDERS_MAX);
        (Self { orders, waker }, receiver)
    }

    /// Sets a register, also of a lane that sleeps; false if the lane is gone or far behind.
    pub fn set(&self, register: Register, value: u32) -> bool {
        let is_taken = self.orders.try_send((register, value)).is_ok();
        self.waker.wake();
        is_taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_lane_is_woken_for_its_orders_and_has_so_many_at_most() {
        let bell = Arc::new(Bell::default());
        let (control, orders) = Control::new(bell.clone());
        assert!(control.set(Register::Loop, 1));
        assert_eq!((orders.try_recv(), bell.0.load(Ordering::Relaxed)), (Ok((Register::Loop, 1)), 1));
        assert!((0..ORDERS_MAX as u32).all(|value| control.set(Register::CellGap, value)));
        assert!(!control.set(Register::CellGap, 0), "it is far behind");
        drop(orders);
        assert!(!control.set(Register::Loop, 0), "it is gone");
    }

    #[test]
    fn orders_are_read_and_others_explained() {
        assert_eq!(parse_order(" counters "), Ok(Order::Counters));
        assert_eq!(parse_order("table 5"), Ok(Order::Table(5)));
        assert_eq!(parse_order("set cfg_toe_mode_loop 1"), Ok(Order::Set(Register::Loop, 1)));
        assert!(parse_order("set cfg_toe_mode_x 1").is_err_and(|error| error.contains("cfg_toe_mode_loop")));
        assert!(parse_order("set cfg_toe_mode_loop -1").is_err_and(|error| error.contains("-1")));
        assert!(parse_order("dance").is_err_and(|error| error.contains("quit")));
    }
}
