"""notification-controller: tells people and other systems what happened, and listens to them."""
