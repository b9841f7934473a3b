"""What people see of alerts and do to them."""
