"""What drivers are made of, without a hypervisor: XML, the image cache, locks, records, faults."""
