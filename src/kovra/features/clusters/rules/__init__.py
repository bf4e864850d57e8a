"""Pure rules: what is taken of a kubeconfig, and what a look at a cluster means."""
