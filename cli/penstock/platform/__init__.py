"""The whole platform on one machine: embedded servers, supervised services, one data folder."""
