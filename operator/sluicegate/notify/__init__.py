"""`sluicegate notify`: one message for each transition of a product, to chat, mail, buses and alerts."""
