"""`sluicegate notify`: a message for each transition of a product, to chat, mail, message buses and alerts."""
