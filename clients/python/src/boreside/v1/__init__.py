"""Messages and services of the control plane, made from proto/ by ./generate."""
