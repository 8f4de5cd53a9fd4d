"""The eBPF datapath from user space: its maps, the records in them, the hooks it hangs on."""
